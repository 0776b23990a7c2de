"""What `cyrene corpus check` and the pages of assets say."""
