"""What is being worked on: plain objects without Qt."""
