"""The plug-in of ms-swift, alone in its folder: ms-swift puts the folder on the import path."""
