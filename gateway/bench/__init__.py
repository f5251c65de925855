"""`zaqar-gateway bench`: puts a Zaqar server under load and measures its answers."""
