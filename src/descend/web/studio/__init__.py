"""The studio: a local web application over a folder of runs.

`server` starts it, `app` has its routes, `workspace` knows the folder, `jobs` start training in
processes of their own, `feed` follows a run as it goes, and `static/` is the page.
"""
