"""What can be measured, one file each. They import recipes and what is below; the engine inside `measure`."""
