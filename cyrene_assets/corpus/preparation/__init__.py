"""What is found out about units before they are rendered."""
