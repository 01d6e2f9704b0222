"""The engine: the only home of torch. It gets plain data and gives plain data back."""

import os

# Threads that spin while they wait make a tiny matmul a hundred times slower as soon as another process is busy.
# It has to be said before torch is imported; whoever has set it already is right.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
