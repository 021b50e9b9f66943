"""Target rigs as data: one TOML file per rig."""
