# Reads the manifests that the deploy kit reads, and makes nothing: every root
# takes what it needs to know about services and environments from here. A test
# compares it with the kit's own reading.
