"""The machine room of QuakeCube: stages as files, plain libraries as folders."""
