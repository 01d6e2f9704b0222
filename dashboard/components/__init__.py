"""What Streamlit does not bring: a chart that streams, panes that stream, the verdict."""
