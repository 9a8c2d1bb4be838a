"""dinosearch finds pictures by what is in them."""
