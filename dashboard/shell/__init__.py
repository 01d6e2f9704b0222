"""What every page has around it: notices, language, signing in."""
