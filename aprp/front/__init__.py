"""The client's side: connections, the requests on them, and writing to them."""
