"""Which defence helps this model, by how much, at what cost."""
