"""Models behind servers: recording their branches, and running controllers in front of them."""
