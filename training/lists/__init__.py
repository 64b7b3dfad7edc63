"""Lists of products: what is ready to be shown, and how a request turns it into an answer."""
