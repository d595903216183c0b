"""An index of papers: built from their vectors and words, searched by meaning, words and filters.

A folder `index/` holds `manifest.json`, which names the segments that make up the index, and the
folder of each. A segment is written once and never changed; an addition writes another one.
"""
