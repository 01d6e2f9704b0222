"""One file a page; `listed` names them all. Not called pages: Streamlit takes a folder of that name for its own."""
