"""`booster.ubj`: every byte is checked, then NumPy walks the trees and explains their margins."""
