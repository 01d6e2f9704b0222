"""The Explore page: settings to sweep over, and what came of each point."""
