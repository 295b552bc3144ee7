"""What the management API says, to what gateway.yaml says, and back: values in, values out, a module for each resource.

Checks no more than the form of what is said. Whether it makes sense, the compiler decides, as it does of a file.
"""
