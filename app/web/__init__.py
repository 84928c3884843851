"""What HTTP needs, for the API and the pages alike."""
