"""The read routes: a JSON request in, the held version's answer or the one error shape out."""
