"""The open data sets as wide files (entity, time, signals, label), written at test time into a folder of the caller's.

Nothing is kept in the repository. `shared` is the folder of the data sets (the `shared_data` fixture).
"""
