"""The routes of the service, an APIRouter for each group of them."""
