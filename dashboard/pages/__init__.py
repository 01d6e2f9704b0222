"""One file a page; `listed` names them all."""
