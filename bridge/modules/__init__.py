"""Host modules that scripts `require`: each a small file of async functions. None yet."""
