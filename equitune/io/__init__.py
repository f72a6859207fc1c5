"""Files, downloads and the texts that users write."""
