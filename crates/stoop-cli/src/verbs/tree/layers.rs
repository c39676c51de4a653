//! Which column each box stands in, so that arrows lead from left to right wherever they can. Pure.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

/// An arrow: from a client's box to a server's.
pub(super) type Arrow = (usize, usize);

/// Boxes that are joined, each set in ascending order; the sets by size, the largest first.
pub(super) fn components(boxes: usize, arrows: &[Arrow]) -> Vec<Vec<usize>> {
    let mut parent: Vec<usize> = (0..boxes).collect();
    fn root(parent: &mut [usize], mut at: usize) -> usize {
        while parent[at] != at {
            parent[at] = parent[parent[at]];
            at = parent[at];
        }
        at
    }
    for &(one, other) in arrows {
        let (one, other) = (root(&mut parent, one), root(&mut parent, other));
        parent[one.max(other)] = one.min(other);
    }
    let mut components: Vec<Vec<usize>> = vec![Vec::new(); boxes];
    for at in 0..boxes {
        let root = root(&mut parent, at);
        components[root].push(at);
    }
    components.retain(|component| !component.is_empty());
    components.sort_by_key(|component| (Reverse(component.len()), component[0]));
    components
}

/// The column of each box of `members`, from 0 at the left. Every arrow leads to another column, but for those within a box; as few as can
/// easily be had lead backwards. A client stands right before the first of its servers.
pub(super) fn columns(members: &[usize], arrows: &[Arrow]) -> Vec<usize> {
    let order = order(members, arrows);
    let place: HashMap<usize, usize> = order.iter().enumerate().map(|(at, &member)| (member, at)).collect();
    // Seen in that order no arrow leads backwards.
    let mut forward: Vec<Vec<usize>> = vec![Vec::new(); order.len()];
    for (client, server) in arrows {
        if let (Some(&client), Some(&server)) = (place.get(client), place.get(server))
            && client != server
        {
            forward[client.min(server)].push(client.max(server));
        }
    }
    let mut to_end = vec![0; order.len()];
    for at in (0..order.len()).rev() {
        to_end[at] = forward[at].iter().map(|&next| to_end[next] + 1).max().unwrap_or(0);
    }
    let last = to_end.iter().copied().max().unwrap_or(0);
    members.iter().map(|member| last - to_end[place[member]]).collect()
}

/// An order in which few arrows lead backwards: again and again, whoever only serves goes to the end, whoever only uses to the front,
/// and where all do both, who uses the most more than it serves.
fn order(members: &[usize], arrows: &[Arrow]) -> Vec<usize> {
    let mut left: HashSet<usize> = members.iter().copied().collect();
    let (mut front, mut back) = (Vec::new(), Vec::new());
    while !left.is_empty() {
        let mut degrees: HashMap<usize, (isize, isize)> = HashMap::new();
        for (client, server) in arrows.iter().filter(|(one, other)| one != other) {
            if left.contains(client) && left.contains(server) {
                degrees.entry(*client).or_default().0 += 1;
                degrees.entry(*server).or_default().1 += 1;
            }
        }
        let degree = |member: &usize| degrees.get(member).copied().unwrap_or_default();
        let here = || members.iter().filter(|member| left.contains(member));
        let ends: Vec<usize> = here().filter(|member| degree(member).0 == 0).copied().collect();
        let starts: Vec<usize> =
            here().filter(|member| degree(member).0 > 0 && degree(member).1 == 0).copied().collect();
        let most = here().max_by_key(|member| degree(member).0 - degree(member).1).copied();
        let most = most.filter(|_| ends.is_empty() && starts.is_empty());
        for member in ends.iter().chain(&starts).chain(&most) {
            left.remove(member);
        }
        back.extend(ends.into_iter().rev());
        front.extend(starts.into_iter().chain(most));
    }
    front.extend(back.into_iter().rev());
    front
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn clients_stand_before_their_servers() {
        assert_eq!(columns(&[0, 1, 2, 3], &[(0, 1), (1, 2), (3, 2)]), [0, 1, 2, 1]);
        assert_eq!(columns(&[4], &[(4, 4)]), [0]);
    }

    #[test]
    fn a_circle_has_one_arrow_that_leads_back() {
        let arrows = [(0, 1), (1, 2), (2, 0)];
        let columns = columns(&[0, 1, 2], &arrows);
        assert_eq!(arrows.iter().filter(|(from, to)| columns[*from] > columns[*to]).count(), 1);
    }

    #[test]
    fn what_is_not_joined_is_apart() {
        assert_eq!(components(5, &[(3, 1), (1, 4)]), [vec![1, 3, 4], vec![0], vec![2]]);
        assert!(components(0, &[]).is_empty());
    }

    proptest! {
        #[test]
        fn no_two_joined_boxes_share_a_column(arrows in proptest::collection::vec((0usize..12, 0usize..12), 0..40)) {
            let members: Vec<usize> = (0..12).collect();
            let columns = columns(&members, &arrows);
            for (from, to) in arrows {
                prop_assert!(from == to || columns[from] != columns[to]);
            }
        }
    }
}
