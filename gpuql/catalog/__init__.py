"""What a session knows by name: tables, views, registered frames and files.

The planner asks it to resolve names.
"""
