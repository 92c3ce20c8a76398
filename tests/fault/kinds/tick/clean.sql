SELECT ind, token FROM tick
