"""What keeps one client, project or queue from taking what the others need (docs/limits.md)."""
