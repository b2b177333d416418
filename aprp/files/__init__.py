"""The file store: files that come in and go out over HTTP, kept in MEDIA_DIR."""
