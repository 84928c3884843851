"""Commands of `flask`, and so of `./gpudock`."""
