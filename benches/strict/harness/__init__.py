"""Plays the wire cases of tests/wire to several proxies and judges what their worker, or their client, was made to see."""
