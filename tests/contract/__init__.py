"""Contract tests: Tornado's AsyncHTTPTestCase, with the origin mocked; pytest and nose run them."""
