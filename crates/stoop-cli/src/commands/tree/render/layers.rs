//! Assigns a column to each box, so that as many arrows as possible lead from left to right. Pure.

use std::cmp::Reverse;
use std::collections::BTreeSet;

/// An arrow: from a client's box to a server's.
pub(super) type Arrow = (usize, usize);

/// Returns the connected components, each in ascending order. The largest comes first.
pub(super) fn components(boxes: usize, arrows: &[Arrow]) -> Vec<Vec<usize>> {
    // Union-find: boxes point at their parents, and those of a component end at the same root.
    let mut parent: Vec<usize> = (0..boxes).collect();
    fn root(parent: &mut [usize], mut at: usize) -> usize {
        while parent[at] != at {
            // Halving the path on the way keeps the trees flat, and each search near constant.
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

/// Returns the column of each box, from 0 at the left.
///
/// Every arrow leads to another column, except those within a box. A heuristic keeps the number of
/// arrows that lead backwards small. A client is placed directly before the first of its servers,
/// or further left if that column would become taller than `tallest`.
pub(super) fn columns(heights: &[f64], tallest: f64, arrows: &[Arrow]) -> Vec<usize> {
    let boxes = heights.len();
    let order = Peeling::new(boxes, arrows).order();
    let mut place = vec![0; boxes];
    for (at, &member) in order.iter().enumerate() {
        place[member] = at;
    }
    // With the boxes in this order no arrow leads backwards: those that would are turned round for
    // the layout, so that what remains is a graph without cycles.
    let mut forward: Vec<Vec<usize>> = vec![Vec::new(); boxes];
    for (client, server) in arrows.iter().filter(|(client, server)| client != server) {
        let (client, server) = (place[*client], place[*server]);
        forward[client.min(server)].push(client.max(server));
    }
    let mut stacks = Stacks { tallest, heights: vec![0.0; boxes + 1], next: (0..=boxes).collect() };
    // The longest path to the end, from the last box to the first: what a box leads to has its
    // column already. Columns count from the right until all are known.
    let mut to_end = vec![0; boxes];
    for at in (0..boxes).rev() {
        let first = forward[at].iter().map(|&next| to_end[next] + 1).max().unwrap_or(0);
        to_end[at] = stacks.put(heights[order[at]], first);
    }
    let last = to_end.iter().copied().max().unwrap_or(0);
    place.into_iter().map(|place| last - to_end[place]).collect()
}

/// Columns being filled, counted from the right.
struct Stacks {
    tallest: f64,
    heights: Vec<f64>,
    /// For each column the column itself while it has space, else one further on.
    next: Vec<usize>,
}

impl Stacks {
    /// Puts a box into the first column, starting at `column`, that has space.
    fn put(&mut self, height: f64, mut column: usize) -> usize {
        // The same halving as in `components`: a run of full columns is skipped in a few steps.
        while self.next[column] != column {
            self.next[column] = self.next[self.next[column]];
            column = self.next[column];
        }
        self.heights[column] += height;
        if self.heights[column] > self.tallest && column + 1 < self.next.len() {
            self.next[column] = column + 1;
        }
        column
    }
}

/// Orders boxes so that few arrows lead backwards.
///
/// This is the greedy heuristic of Eades, Lin and Smyth for the feedback arc set. It repeatedly
/// removes boxes: one that only serves goes to the end, and one that only uses goes to the front.
/// If all boxes do both, the next is the one that uses most in excess of what it serves. Each box
/// and each arrow is removed once, and found in a sorted set, so this takes O(n log n).
struct Peeling {
    servers: Vec<Vec<usize>>,
    clients: Vec<Vec<usize>>,
    /// How many of those remain.
    uses: Vec<usize>,
    serves: Vec<usize>,
    /// The boxes that remain: those that use no box, those of the others that serve no box, and the
    /// rest by how much more they use.
    ends: BTreeSet<usize>,
    starts: BTreeSet<usize>,
    both: BTreeSet<(isize, usize)>,
}

impl Peeling {
    fn new(boxes: usize, arrows: &[Arrow]) -> Peeling {
        let (mut servers, mut clients) = (vec![Vec::new(); boxes], vec![Vec::new(); boxes]);
        for &(client, server) in arrows.iter().filter(|(client, server)| client != server) {
            servers[client].push(server);
            clients[server].push(client);
        }
        let [uses, serves] = [&servers, &clients].map(|lists| lists.iter().map(Vec::len).collect());
        let (ends, starts, both) = Default::default();
        let mut peeling = Peeling { servers, clients, uses, serves, ends, starts, both };
        (0..boxes).for_each(|at| peeling.enter(at));
        peeling
    }

    fn order(mut self) -> Vec<usize> {
        let (mut front, mut back) = (Vec::new(), Vec::new());
        loop {
            let (ends, starts) = (self.ends.clone(), self.starts.clone());
            // Only if nothing can be removed from either end does an arrow have to lead backwards.
            let most = self.both.last().map(|&(_, at)| at).filter(|_| ends.is_empty() && starts.is_empty());
            if most.is_none() && ends.is_empty() && starts.is_empty() {
                break;
            }
            ends.iter().chain(&starts).chain(&most).for_each(|&at| self.take(at));
            back.extend(ends.into_iter().rev());
            front.extend(starts.into_iter().chain(most));
        }
        front.extend(back.into_iter().rev());
        front
    }

    /// Inserts a box into the set where it belongs.
    fn enter(&mut self, at: usize) {
        match (self.uses[at], self.serves[at]) {
            (0, _) => drop(self.ends.insert(at)),
            (_, 0) => drop(self.starts.insert(at)),
            (uses, serves) => drop(self.both.insert((uses as isize - serves as isize, at))),
        }
    }

    /// Removes a box from the set. Returns whether it was there.
    fn leave(&mut self, at: usize) -> bool {
        let more = self.uses[at] as isize - self.serves[at] as isize;
        self.ends.remove(&at) || self.starts.remove(&at) || self.both.remove(&(more, at))
    }

    /// Removes a box with its arrows.
    fn take(&mut self, at: usize) {
        self.leave(at);
        for server in std::mem::take(&mut self.servers[at]) {
            if self.leave(server) {
                self.serves[server] -= 1;
                self.enter(server);
            }
        }
        for client in std::mem::take(&mut self.clients[at]) {
            if self.leave(client) {
                self.uses[client] -= 1;
                self.enter(client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn clients_are_left_of_their_servers() {
        assert_eq!(columns(&[1.0; 4], 9.0, &[(0, 1), (1, 2), (3, 2)]), [0, 1, 2, 1]);
        assert_eq!(columns(&[1.0], 9.0, &[(0, 0)]), [0]);
    }

    #[test]
    fn a_cycle_has_one_backward_edge() {
        let arrows = [(0, 1), (1, 2), (2, 0)];
        let columns = columns(&[1.0; 3], 9.0, &arrows);
        assert_eq!(arrows.iter().filter(|(from, to)| columns[*from] > columns[*to]).count(), 1);
    }

    #[test]
    fn full_columns_are_skipped() {
        let arrows: Vec<Arrow> = (1..6).map(|server| (0, server)).collect();
        assert_eq!(columns(&[1.0; 6], 1.5, &arrows), [0, 1, 2, 2, 3, 3]);
    }

    #[test]
    fn unconnected_boxes_are_separate_components() {
        assert_eq!(components(5, &[(3, 1), (1, 4)]), [vec![1, 3, 4], vec![0], vec![2]]);
        assert!(components(0, &[]).is_empty());
    }

    proptest! {
        #[test]
        fn connected_boxes_are_in_different_columns(arrows in proptest::collection::vec((0usize..12, 0usize..12), 0..40), tallest in 0.5f64..9.0) {
            let columns = columns(&[1.0; 12], tallest, &arrows);
            for (from, to) in arrows {
                prop_assert!(from == to || columns[from] != columns[to]);
            }
        }
    }
}
