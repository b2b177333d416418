"""The web pages that come with the program: they load nothing from elsewhere."""
