"""Methods side by side: the plan, its runs, the statistics, the report."""
