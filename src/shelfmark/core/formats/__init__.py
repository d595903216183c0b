"""What a file of papers holds, settled by its first bytes, and its records as a stream.

From below: `signatures` names what bytes are, `unpack` undoes compressions and archives, `encoding`
makes UTF-8 with plain line ends, `csv_rows`, `json_values` and `tables` read rows and values, and
`records` joins them.
"""
