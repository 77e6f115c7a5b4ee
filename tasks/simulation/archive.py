def write_archive(): pass
