"""What the endpoints are asked and what they answer; from these the OpenAPI page is made."""
