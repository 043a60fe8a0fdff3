"""pluribus: one shared CLIP-like model and one Metaflow DAG for every shop's catalog."""

#: Metaflow's code package carries this package to clusters, data files included.
METAFLOW_PACKAGE_POLICY = "include"
