"""One module a case; what each measures is in its docstring."""
