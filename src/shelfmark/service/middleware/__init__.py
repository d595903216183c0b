"""What every request passes before the application: the guard, other origins, a proxy's path."""
