"""Which origins a request is for: UPSTREAM's, a route's, the switched target's, a named host's."""
