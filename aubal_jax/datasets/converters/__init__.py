"""From the forms data sets come in to the generic manifest.

A converter writes a table with the paths of images, the split and the subject
where the set has them, and a 0/1 column for each label, blank where unknown.
`manifest` reads the table (data.name='manifest').
"""
