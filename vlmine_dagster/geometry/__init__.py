"""Where things are: poses, cameras, range images and the overlap of boxes; pure functions over numpy arrays.

A frame is a right-handed system of axes. The ego frame of a vehicle has x forward, y left and z up; a camera's optical
frame x right, y down and z forward. `a_from_b` is the 4 x 4 matrix that moves points of frame b into frame a.

Boxes are rows of seven numbers: centre x, y, z, length (along the heading), width, height in metres, and the heading,
counter-clockwise from x around z, in radians.
"""
