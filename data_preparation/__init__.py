"""Raw datasets in, `db/<name>.csv` and crops out; one module a dataset."""
