"""Whole audits on real data that comes with pinned packages: `safelight demo` copies and runs them."""
