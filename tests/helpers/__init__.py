"""What several test modules share: small clips, corpora, models, runs, and a hostile server."""
